# Unit tests of src/core: no server, no PostgreSQL header.
