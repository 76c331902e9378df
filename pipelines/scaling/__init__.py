"""`./run scaling`: how cost grows, beside what the machine's limits allow."""
