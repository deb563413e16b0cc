"""The ``hivefeedback`` command: ``main.py`` runs it, ``commands/`` has one file per group of commands."""
