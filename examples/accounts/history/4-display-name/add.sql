INSERT INTO users (display_name, email) VALUES ($1, $2) RETURNING id
