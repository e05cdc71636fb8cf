"""Drawings of emoji by seven vendors, and their labels: what the recipes are made from."""
