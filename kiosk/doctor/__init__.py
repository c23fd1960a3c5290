"""What a technician asks of a unit: is it well (doctor), was all of it tried (walk test), what happened (report)."""
