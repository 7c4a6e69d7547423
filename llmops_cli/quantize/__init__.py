"""Methods change a model: a wish becomes Variants, makers make, measure and keep each of them."""
