//! Running a plan forward and undoing it (placeholder until the engine lands).
