//! What every integration test needs: the shared cluster, fresh databases, git repositories and the program.
