"""Networks in half precision and in int8."""
