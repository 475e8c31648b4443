//! Integration tests: the demo, as `make demo` runs it but smaller.

use std::process::Command;

#[test]
fn the_whole_rename_under_live_traffic_loses_nothing_and_refuses_what_it_must() {
    let output = Command::new(env!("CARGO_BIN_EXE_shipctl"))
        .args(["demo", "--rows", "5000", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{said}", String::from_utf8_lossy(&output.stdout)));
    assert_eq!(output.status.code(), Some(0), "{outcome:#}\n{said}");
    for figure in ["lost_rows", "wrong_rows", "app_errors"] {
        assert_eq!(outcome[figure], 0, "{figure}: {outcome:#}");
    }
    let refusals: Vec<&str> = outcome["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| refusal["tried"].as_str().unwrap())
        .collect();
    assert_eq!(
        refusals,
        [
            "backfill while the old code still runs",
            "drop while a worker still dual-writes",
            "deploying the old commit after the drop",
        ]
    );
    let phases: Vec<&str> = outcome["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["add", "backfill", "constrain", "relax", "drop"]);
    assert!(
        outcome["operations"].as_u64().unwrap() > 500,
        "the clients hardly worked: {outcome:#}"
    );
}
