"""The demo: the whole of Stayby on one machine, with a private broker and simulated parts."""
