"""Network families, one file each, as torch modules. Imported only through `models.zoo.resolve`, so torch stays
lazy.
"""
