"""What can go wrong, as data: what a fault is told to do, and who does not hear whom."""
