"""What recording costs, as ratios, peers beside us: ``make bench``."""
