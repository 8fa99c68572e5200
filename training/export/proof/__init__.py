"""How an export is proved against what was trained."""
