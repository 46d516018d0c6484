//! A filter as an OCI image: read back the way Istio's agent reads it.

mod support;

use std::fs::read;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::{Result, turnpike};

/// A module that is no more than its magic number and version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn pack(folder: &Path) -> Result<()> {
    std::fs::write(folder.join("m.wasm"), MODULE)?;
    let arguments = [
        "image", "--filter", "meter", "--wasm", "m.wasm", "--output", "oci",
    ];
    let output = turnpike(folder, &arguments)?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

/// The blob of a descriptor, after its size and digest were found to be true.
fn blob(layout: &Path, descriptor: &Value) -> Result<Vec<u8>> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let bytes = read(layout.join("blobs").join(digest.replace(':', "/")))?;
    assert_eq!(digest, format!("sha256:{:x}", Sha256::digest(&bytes)));
    assert_eq!(descriptor["size"], bytes.len());
    Ok(bytes)
}

#[test]
fn the_layer_holds_the_module_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    pack(folder.path()).unwrap();
    let layout = folder.path().join("oci");
    let version: Value = serde_json::from_slice(&read(layout.join("oci-layout")).unwrap()).unwrap();
    assert_eq!(version["imageLayoutVersion"], "1.0.0");
    let index: Value = serde_json::from_slice(&read(layout.join("index.json")).unwrap()).unwrap();
    let manifest = blob(&layout, &index["manifests"][0]).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(
        manifest["annotations"]["module.wasm.image/variant"],
        "compat"
    );
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.title"],
        "turnpike-meter"
    );

    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(
        layers[0]["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    let layer = blob(&layout, &layers[0]).unwrap();
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(&layer[..])
        .read_to_end(&mut archive)
        .unwrap();
    let config: Value =
        serde_json::from_slice(&blob(&layout, &manifest["config"]).unwrap()).unwrap();
    assert_eq!(
        config["rootfs"]["diff_ids"][0],
        format!("sha256:{:x}", Sha256::digest(&archive))
    );

    let mut files = Vec::new();
    for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.push((entry.path().unwrap().display().to_string(), bytes));
    }
    assert_eq!(files, [("plugin.wasm".to_owned(), MODULE.to_vec())]);
}

#[test]
fn the_same_module_gives_the_same_image() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pack(a.path()).unwrap();
    pack(b.path()).unwrap();
    let index = |folder: &tempfile::TempDir| read(folder.path().join("oci/index.json")).unwrap();
    assert_eq!(index(&a), index(&b));
}

#[test]
fn what_is_no_module_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.wasm"), "hello").unwrap();
    let arguments = [
        "image", "--filter", "router", "--wasm", "m.wasm", "--output", "oci",
    ];
    let output = turnpike(folder.path(), &arguments).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "m.wasm is no WebAssembly module\n"
    );
    assert!(!folder.path().join("oci").exists());
}
