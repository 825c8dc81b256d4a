"""Instance Availability Notification (PS3.4 Annex R): peers are told which instances can be had from the archive."""
