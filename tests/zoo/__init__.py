"""Small networks after published architectures, with random weights: what people bring.

Each module of this folder holds a family; `tests.zoo.catalogue.ZOO` names them all.
"""
