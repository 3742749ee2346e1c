"""What the lake has: objects, their older versions, tables and the files of each table. Only reads."""
