"""What is known to be broken in which firmware, as data with evidence; code only knows a closed set of effects."""
