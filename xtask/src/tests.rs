use super::*;

#[test]
fn checked_in_code_is_what_the_messages_generate() {
    check(&repository().unwrap()).unwrap();
}

#[test]
fn a_missing_file_is_drift_and_the_command_is_named() {
    let root = std::env::temp_dir().join(format!("sidelong-xtask-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    std::os::unix::fs::symlink(repository().unwrap().join("proto"), root.join("proto")).unwrap();
    let error = check(&root).unwrap_err().to_string();
    std::fs::remove_dir_all(&root).unwrap();
    assert!(error.contains("run: cargo run -p xtask -- generate"), "{error}");
}
