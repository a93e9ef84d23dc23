"""From a torch module to a Graph: export, operator calls, drafts, fused drafts."""
