UPDATE tree SET data = x'6e616d653a2061ff0a' WHERE name = '100.conf';
