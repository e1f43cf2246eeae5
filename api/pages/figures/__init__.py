"""Figures in pages: the dashboard with its entries, and how alliances stand."""
