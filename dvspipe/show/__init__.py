"""Show: terminal view, plots and the self-contained report. Plain numbers in, pictures and words out."""
