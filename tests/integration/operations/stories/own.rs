//! Phases of one's own.

use super::{Code, LOCALE, NAMES, NEVER_NULL, Story, live_through_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_code_live_through_a_plan_of_ones_own() {
    let add = "-- UP\nALTER TABLE public.users ADD COLUMN locale text;\n\n-- DOWN\nALTER TABLE public.users DROP COLUMN locale;\n";
    let index = "-- UP\nCREATE INDEX CONCURRENTLY by_locale ON public.users (locale);\n\n\
                 -- DOWN\nDROP INDEX CONCURRENTLY IF EXISTS public.by_locale;\n";
    let story = Story {
        name: "custom",
        ddl: "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL);
              INSERT INTO users SELECT n, 'v' || n FROM generate_series(1, 50) n",
        arguments: &[
            "custom",
            "locales",
            "--phase",
            "expand:add=sql/add.sql",
            "--phase",
            "code:write=Code writes both",
            "--phase",
            "backfill:fill",
            "--phase",
            "expand:index=sql/index.sql",
            "--phase",
            "code:read=Code reads the new one",
            "--reads",
            "write:public.users.name",
            "--writes",
            "write:public.users.name,public.users.locale",
            "--reads",
            "read:public.users.locale",
            "--writes",
            "read:public.users.name,public.users.locale",
            "--set",
            "fill:public.users.locale=name",
        ],
        code: vec![
            NAMES,
            Code {
                read: NAMES.read,
                ..NEVER_NULL
            },
            LOCALE,
        ],
        back: true,
    };
    live_through_with(&story, &[("sql/add.sql", add), ("sql/index.sql", index)], None).await;
}
