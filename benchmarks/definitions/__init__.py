"""Public definitions of networks, those that are installed: is each traced, and does it compute what PyTorch does?"""
