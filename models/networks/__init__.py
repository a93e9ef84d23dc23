"""Network families, one file each, as torch modules. Imported only through `models.resolve`, so torch stays
lazy.
"""
