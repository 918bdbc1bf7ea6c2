//! From a candidate to champion and back, as people do it.

use super::s3::{CREDENTIALS, Gateway};
use super::{Key, builtin, model, refused, serving, trained};
use crate::harness::eventually;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::Sidelong;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A sidecar that follows `store` and trusts `key`.
async fn follower(scratch: &Scratch, store: &str, key: &Key, folder: &Path) -> Sidelong {
    let (public, folder) = (&key.public, folder.display());
    let config = format!(
        "model: {{store: '{store}', folder: '{folder}', trusted_keys: ['{public}'], poll_interval: 50ms}}\n"
    );
    let mut launcher = Command::new("env");
    launcher.args(CREDENTIALS.map(|(name, value)| format!("{name}={value}")));
    Sidelong::start_by(scratch, &config, launcher).await
}

async fn serves(sidelong: &Sidelong, version: &str) -> Value {
    eventually(&format!("version {version} serves"), async || {
        let serving = serving(sidelong).await;
        (serving["version"] == version).then_some(serving)
    })
    .await
}

/// Promotion, restart without a store, rollback.
async fn live(scratch: &Scratch, store: &str, end_store: impl AsyncFnOnce()) {
    let key = Key::new(scratch.path(), "promotion.pem");
    let folder = scratch.folder("local");
    let mut sidelong = follower(scratch, store, &key, &folder).await;
    assert_eq!(serving(&sidelong).await["source"], "builtin");

    assert!(key.promote(&builtin(scratch), store).contains("version 1 is champion"));
    assert_eq!(serves(&sidelong, "1").await["source"], "store");
    assert_eq!(sidelong.metric("sidelong_model_info", "version=\"1\"").await, 1.0);
    assert_eq!(sidelong.metric("sidelong_model_info", "builtin").await, 0.0);

    key.promote(&trained(scratch), store);
    serves(&sidelong, "2").await;
    let rollback = ["rollback", "--store", store, "--key", &key.file, "--reason", "it alerts too often"];
    let printed = model(&rollback);
    assert!(printed.contains("version 3, which is version 1 again"), "{printed}");
    serves(&sidelong, "3").await;
    assert_eq!(sidelong.metric("sidelong_model_swaps_total", "").await, 3.0);
    let listed = model(&["ls", "--store", store]);
    assert!(listed.contains("version 3      champion"), "{listed}");
    assert!(listed.contains("it alerts too often"), "{listed}");

    // The one before is the one that was not wanted.
    let again = refused(&rollback);
    assert!(again.contains("is a return already, to 1") && again.contains("--to"), "{again}");

    // A start needs no store.
    assert!(sidelong.process.stop().await.success());
    end_store().await;
    let mut sidelong = follower(scratch, store, &key, &folder).await;
    let first = serving(&sidelong).await;
    assert_eq!((&first["version"], &first["source"]), (&Value::from("3"), &Value::from("local")));
    assert!(sidelong.process.stop().await.success());
    // And what is pinned serves whatever else there is.
    let listed = model(&["pin", "--folder", folder.to_str().unwrap(), "2"]);
    assert!(listed.contains("version 2 before pinned"), "{listed}");
    let sidelong = follower(scratch, store, &key, &folder).await;
    assert_eq!(serving(&sidelong).await["version"], "2");
}

#[tokio::test]
async fn a_model_lives_in_a_folder() {
    let scratch = Scratch::new();
    let store = scratch.folder("store");
    let place = store.to_str().unwrap().to_owned();
    live(&scratch, &place, async || std::fs::remove_dir_all(&store).unwrap()).await;
}

#[tokio::test]
async fn a_model_lives_in_s3() {
    let program = tool!(Versitygw);
    let scratch = Scratch::new();
    let mut gateway = Gateway::start(&scratch, &program).await;
    let place = gateway.bucket("models").await.place;
    live(&scratch, &place, async || {
        gateway.process.stop().await;
    })
    .await;
}

#[test]
fn the_bundle_in_models_is_the_model_that_is_built_in() {
    let scratch = Scratch::new();
    let exported = scratch.path().join("bundle");
    model(&["export", exported.to_str().unwrap()]);
    let files = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let files = entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()));
        files.collect::<std::collections::BTreeMap<_, _>>()
    };
    let kept = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/builtin"));
    assert!(files(&exported) == kept, "models/builtin is not what this binary holds; run: make model");
}

#[test]
fn the_command_line_says_what_to_do() {
    let scratch = Scratch::new();
    let key = Key::new(scratch.path(), "promotion.pem");
    let store = scratch.folder("store").to_str().unwrap().to_owned();
    let bundle = builtin(&scratch);
    key.promote(&bundle, &store);

    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key.file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(refused(&["keygen", "--out", &key.file]).contains("cannot make"), "no key is overwritten");
    assert!(refused(&["export", &bundle]).contains("holds a bundle already"));
    assert!(model(&["verify", &bundle]).contains("usable"));
    let unsigned = refused(&["verify", &bundle, "--trust", &key.public]);
    assert!(unsigned.contains("signed by nobody"), "{unsigned}");
    let shown: Value = serde_json::from_str(&model(&["show", "--store", &store, "1", "--json"])).unwrap();
    assert_eq!((&shown["version"], &shown["lineage"]["reason"]), (&Value::from(1), &Value::from("a test")));
    let candidate: Value = serde_json::from_str(&model(&["ls", "--store", &store, "--json"])).unwrap();
    let candidate = candidate["candidates"][0].as_str().unwrap().to_owned();
    let differs = model(&["diff", "--store", &store, &candidate, "1"]);
    assert!(differs.contains("version                      0 -> 1"), "{differs}");
    assert!(!differs.contains("files."), "the blobs are the same: {differs}");
    let absent = refused(&["rollback", "--store", &store, "--key", &key.file, "--reason", "x", "--to", "9"]);
    assert!(absent.contains("the store has no version 9"), "{absent}");
    let empty = refused(&["rollback", "--store", &store, "--key", &key.file, "--reason", ""]);
    assert!(empty.contains("--reason"), "{empty}");
    let start: String = candidate.chars().take(6).collect();
    let again = refused(&[
        "promote",
        "--store",
        &store,
        "--key",
        &key.file,
        "--reason",
        "x",
        "--without-evaluation",
        &start,
    ]);
    assert!(again.contains("is champion already, as version 1"), "{again}");
    let neither = refused(&["promote", "--store", &store, "--key", &key.file, "--reason", "x", &start]);
    assert!(neither.contains("--evaluation") && neither.contains("--without-evaluation"), "{neither}");
    let nowhere = refused(&["ls", "--store", scratch.path().join("none").to_str().unwrap()]);
    assert!(nowhere.contains("cannot be used"), "{nowhere}");
    let elsewhere = refused(&["ls", "--store", "ftp://models"]);
    assert!(elsewhere.contains("is no store"), "{elsewhere}");
}
