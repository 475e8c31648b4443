//! Facts: git, the fleet, the catalog, and all of them gathered for a decision.

pub mod catalog;
mod census;
pub mod fleet;
pub mod git;
mod outlook;
mod remembered;
mod repositories;
mod sightings;
mod situation;

pub use census::Census;
pub use remembered::{Newer, outdated};
pub use repositories::Repositories;
pub use situation::{Observer, Situation};
