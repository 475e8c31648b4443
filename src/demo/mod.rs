//! `shipctl demo`: the whole rename under live traffic, on a private PostgreSQL (placeholder).
