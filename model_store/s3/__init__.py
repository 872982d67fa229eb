"""Artifacts in an S3 bucket; the only home of boto3, which is imported when the first request is made.

    <prefix>/
    ├── sha256/ab/cd/<hex>     the objects, as in a folder (see ``model_store.layout``)
    ├── renewed/<hex>          empty; the object's age counts from when this was last written
    ├── removing/<hex>/<...>   empty; there while somebody decides about removing the object, and does it
    └── uploads/<hex>          sent by a client straight to the bucket, not looked at by anybody yet

What the bucket must be able to do, beside what every S3 server can: show each write to all who read after it, put on
condition (``If-None-Match: *``, also when a multipart upload is completed), and compare SHA-256 checksums.
"""
