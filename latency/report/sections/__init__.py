"""The report's sections: each a function from the result to tables and figures."""
