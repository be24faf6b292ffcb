"""Charts as plain plotly JSON: one module a page, on the axes and labels they share."""
