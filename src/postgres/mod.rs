//! PostgreSQL: settings, TLS, sessions, the run lock, retries, the ledger's store and private clusters.

mod binaries;
pub mod blockers;
pub mod cluster;
mod connection;
mod connection_string;
mod failure;
mod index_progress;
pub mod ledger;
mod lock;
mod password_file;
pub mod pgbouncer;
pub mod retry;
mod session;
mod stop;
mod system_user;
mod tls;

pub use cluster::Cluster;
pub use connection::ConnectionSettings;
pub use failure::describe_error;
pub use index_progress::{IndexProgress, index_progress};
pub use lock::{Fence, RunLock, Witness};
pub use retry::LockPatience;
pub use session::Session;
pub use stop::{INTERRUPTED, Stop, interrupted};
