"""Amazon S3 Inventory reports: lists of the objects of a bucket that S3 writes once a day or once a week. They are read
in place of listing an old bucket. ``manifest`` and ``rows`` are pure; ``reading`` reads through the store."""
