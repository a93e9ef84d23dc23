"""Network families, one file each, as torch modules. Imported only through `models.zoo.registry`, so torch stays
lazy.
"""
