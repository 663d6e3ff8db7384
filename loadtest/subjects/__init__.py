"""What can stand between the generator and the origins, started and ended by the run."""
