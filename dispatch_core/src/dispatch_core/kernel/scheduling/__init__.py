"""Who gets what, and why: scheduling classes, rules, policy and the matcher with its explanations."""
