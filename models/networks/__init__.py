"""Network families, one file each, as torch modules. Imported only through `models.registry`, so torch stays lazy."""
