"""Plans: which sparsity each convolution gets and why, what it costs, and the knapsack that chooses."""
