-- Written by the installer. A statement that fails is not logged: it may hold a password.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET password_encryption = 'scram-sha-256';
SELECT pg_reload_conf();
{% for need in needs %}

SELECT 'CREATE ROLE "{{ need.account }}" LOGIN'
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{{ need.account }}') \gexec
ALTER ROLE "{{ need.account }}" PASSWORD '{{ need.secret }}';
SELECT 'CREATE DATABASE "{{ need.account }}" OWNER "{{ need.account }}" TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C'''
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{{ need.account }}') \gexec
{% endfor %}
