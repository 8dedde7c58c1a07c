"""The pages people look at: static, self-contained, built only from what is published."""
