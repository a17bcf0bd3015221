"""Options shared by several commands, and the rules that refuse unused ones."""
