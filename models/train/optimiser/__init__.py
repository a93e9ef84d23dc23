"""How weights move: parameter groups, Muon, averages over steps."""
