"""Practice: each symptom's cause and each cause's remedy, as a measured comparison."""
