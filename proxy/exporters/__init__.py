"""What is recorded, written for others: one module a format. What each level lets out is decided in ``proxy.exporters.levels``."""
