"""Ways to sell a seat, good and bad, side by side on one trace: `sellers` are the ways, `comparison` tries them."""
