"""Live: a source of events played bin by bin, in real time, with nothing lost unsaid. Knows no network and no view."""
