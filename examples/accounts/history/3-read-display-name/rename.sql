UPDATE users SET name = $2, display_name = $2 WHERE id = $1
