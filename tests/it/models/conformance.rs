//! What every store must do, and that all three do it.

use super::s3::{Bucket, Gateway};
use crate::harness::scratch::Scratch;
use bytes::Bytes;
use sidelong::model::store::{ETag, Got, MemoryStore, ObjectName, Store, StoreError, When};

/// The suite; `store` is empty.
async fn conforms(store: &Store) {
    objects_are_given_back(store).await;
    what_is_known_is_not_given_again(store).await;
    a_new_object_takes_no_ones_place(store).await;
    of_two_who_change_an_object_one_wins(store).await;
    lists_hold_what_lies_below(store).await;
    sizes_are_told_and_what_is_deleted_is_gone(store).await;
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

async fn put_new(store: &Store, at: &str, content: &'static [u8]) -> ETag {
    store.put(&name(at), Bytes::from_static(content), When::Absent).await.unwrap()
}

async fn objects_are_given_back(store: &Store) {
    assert_eq!(store.get(&name("a/none"), 10, None).await.unwrap(), Got::Absent);
    let etag = put_new(store, "a/one", b"0123456789").await;
    let Got::Found(content, found) = store.get(&name("a/one"), 10, None).await.unwrap() else { panic!() };
    assert_eq!((content.as_ref(), found), (b"0123456789".as_slice(), etag));
    let empty = put_new(store, "a/empty", b"").await;
    assert_eq!(store.get(&name("a/empty"), 0, None).await.unwrap(), Got::Found(Bytes::new(), empty));
    let too_large = store.get(&name("a/one"), 9, None).await.unwrap_err();
    assert!(matches!(too_large, StoreError::TooLarge { allowed: 9, .. }), "{too_large}");
}

async fn what_is_known_is_not_given_again(store: &Store) {
    let first = put_new(store, "b/one", b"first").await;
    assert_eq!(store.get(&name("b/one"), 10, Some(&first)).await.unwrap(), Got::NotModified);
    let changed = Bytes::from_static(b"second");
    let second = store.put(&name("b/one"), changed.clone(), When::Unchanged(&first)).await.unwrap();
    let again = store.get(&name("b/one"), 10, Some(&first)).await.unwrap();
    assert_eq!(again, Got::Found(changed, second));
}

async fn a_new_object_takes_no_ones_place(store: &Store) {
    let first = put_new(store, "c/one", b"first").await;
    let other = Bytes::from_static(b"other");
    let refused = store.put(&name("c/one"), other, When::Absent).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    assert_eq!(store.get(&name("c/one"), 10, Some(&first)).await.unwrap(), Got::NotModified);
}

async fn of_two_who_change_an_object_one_wins(store: &Store) {
    let read = put_new(store, "d/one", b"read").await;
    let changes: Vec<_> = (0..8)
        .map(|number| {
            let (store, read) = (store.clone(), read.clone());
            tokio::spawn(async move {
                let content = Bytes::from(format!("changed by {number}"));
                store.put(&name("d/one"), content, When::Unchanged(&read)).await
            })
        })
        .collect();
    let mut won = 0;
    for change in changes {
        match change.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error}"),
        }
    }
    assert_eq!(won, 1);
    let gone = store.put(&name("d/none"), Bytes::new(), When::Unchanged(&read)).await.unwrap_err();
    assert!(matches!(gone, StoreError::Conflict(_)), "{gone}");
}

async fn sizes_are_told_and_what_is_deleted_is_gone(store: &Store) {
    for (at, content) in [("f/day=1/one", "1"), ("f/day=1/two", "22"), ("f/day=2/three", "333")] {
        put_new(store, at, content.as_bytes()).await;
    }
    let sizes = store.sizes(&name("f")).await.unwrap();
    let sizes: Vec<_> = sizes.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    assert_eq!(sizes, [("f/day=1/one", 1), ("f/day=1/two", 2), ("f/day=2/three", 3)]);
    for gone in ["f/day=1/one", "f/day=2/three", "f/none", "none/at/all"] {
        store.delete(&name(gone)).await.unwrap();
    }
    assert_eq!(store.list(&name("f")).await.unwrap(), [name("f/day=1/two")]);
    assert_eq!(store.get(&name("f/day=1/one"), 10, None).await.unwrap(), Got::Absent);
    put_new(store, "f/day=2/three", b"3").await;
}

async fn lists_hold_what_lies_below(store: &Store) {
    for at in ["e/m/2", "e/m/1", "e/m/deep/3", "e/mm/4"] {
        put_new(store, at, b"x").await;
    }
    let listed = store.list(&name("e/m")).await.unwrap();
    let listed: Vec<&str> = listed.iter().map(ObjectName::as_str).collect();
    assert_eq!(listed, ["e/m/1", "e/m/2", "e/m/deep/3"]);
    assert_eq!(store.list(&name("e/none")).await.unwrap(), []);
}

#[tokio::test]
async fn memory_conforms() {
    conforms(&Store::Memory(MemoryStore::default())).await;
}

#[tokio::test]
async fn a_folder_conforms() {
    let scratch = Scratch::new();
    conforms(&Store::open(scratch.folder("store").to_str().unwrap()).unwrap()).await;
}

/// A mount that is lost, or a name that is mistyped, is not an empty store.
#[tokio::test]
async fn a_folder_that_is_not_there_is_no_empty_store_and_is_made_by_who_writes() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path().join("deep/store").to_str().unwrap()).unwrap();
    let error = store.get(&name("a/one"), 10, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
    assert!(store.list(&name("a")).await.is_err());
    put_new(&store, "a/one", b"one").await;
    assert_eq!(store.list(&name("a")).await.unwrap(), [name("a/one")]);
}

#[tokio::test]
async fn s3_conforms() {
    let program = tool!(Versitygw);
    let scratch = Scratch::new();
    let gateway = Gateway::start(&scratch, &program).await;
    let Bucket { store, .. } = gateway.bucket("conformance").await;
    conforms(&store).await;
}

#[test]
fn a_place_that_is_none_is_told() {
    for wrong in ["", "ftp://host/x", "s3://", "s3:///prefix"] {
        let error = Store::open(wrong).unwrap_err();
        assert!(matches!(error, StoreError::Place(_) | StoreError::WithoutS3), "{wrong}: {error}");
    }
}
