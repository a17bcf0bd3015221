"""Commands that make a bundle or change one."""
