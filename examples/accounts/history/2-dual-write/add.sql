INSERT INTO users (name, display_name, email) VALUES ($1, $1, $2) RETURNING id
