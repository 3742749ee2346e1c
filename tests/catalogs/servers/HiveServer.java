import java.net.InetSocketAddress;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy;
import org.apache.hadoop.hive.metastore.HiveMetaStore;
import org.apache.hadoop.hive.metastore.IHMSHandler;
import org.apache.hadoop.hive.metastore.RetryingHMSHandler;
import org.apache.hadoop.hive.metastore.TSetIpAddressProcessor;
import org.apache.hadoop.hive.metastore.conf.MetastoreConf;
import org.apache.hadoop.hive.metastore.events.EventCleanerTask;
import org.apache.hadoop.hive.metastore.txn.TxnDbUtil;
import org.apache.hadoop.util.Progressable;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;

/** A Hive Metastore for tests, on 127.0.0.1: PORT and WAREHOUSE. Its database is Derby's, in memory. */
public class HiveServer {
  public static void main(String[] args) throws Throwable {
    Configuration configuration = MetastoreConf.newMetastoreConf();
    configuration.setClassLoader(HiveServer.class.getClassLoader());
    configuration.set("fs.s3.impl", Directories.class.getName());
    configuration.set("fs.s3a.impl", Directories.class.getName());
    configuration.set("metastore.warehouse.dir", args[1]);
    configuration.set("javax.jdo.option.ConnectionURL", "jdbc:derby:memory:hive;create=true");
    configuration.set("javax.jdo.option.ConnectionDriverName", "org.apache.derby.jdbc.EmbeddedDriver");
    configuration.set("datanucleus.schema.autoCreateAll", "true");
    configuration.set("datanucleus.autoStartMechanismMode", "ignored");
    configuration.set("metastore.schema.verification", "false");
    configuration.set("metastore.expression.proxy", DefaultPartitionExpressionProxy.class.getName());
    // The default ones are not all in the standalone metastore.
    configuration.set("metastore.task.threads.always", EventCleanerTask.class.getName());
    TxnDbUtil.setConfValues(configuration);
    TxnDbUtil.prepDb(configuration);
    // Its own main binds every interface.
    TServerSocket socket = new TServerSocket(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    HiveMetaStore.HMSHandler handler = new HiveMetaStore.HMSHandler("hive", configuration, false);
    IHMSHandler retrying = RetryingHMSHandler.getProxy(configuration, handler, true);
    new TThreadPoolServer(
            new TThreadPoolServer.Args(socket).processor(new TSetIpAddressProcessor<>(retrying)).maxWorkerThreads(64))
        .serve();
  }

  /** Where every path is a directory: the metastore makes the folders of databases and tables, and writes nothing else. */
  public static class Directories extends FileSystem {
    private URI uri;

    @Override
    public void initialize(URI name, Configuration configuration) throws java.io.IOException {
      super.initialize(name, configuration);
      uri = URI.create(name.getScheme() + "://" + name.getAuthority());
    }

    @Override
    public URI getUri() {
      return uri;
    }

    @Override
    public String getScheme() {
      return "s3";
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) {
      return true;
    }

    @Override
    public FileStatus getFileStatus(Path path) {
      return new FileStatus(0, true, 1, 1, 0, path);
    }

    @Override
    public FileStatus[] listStatus(Path path) {
      return new FileStatus[0];
    }

    @Override
    public void setWorkingDirectory(Path path) {}

    @Override
    public Path getWorkingDirectory() {
      return new Path(uri.toString() + "/");
    }

    @Override
    public FSDataInputStream open(Path path, int size) {
      throw new UnsupportedOperationException("open " + path);
    }

    @Override
    public FSDataOutputStream create(
        Path path, FsPermission permission, boolean overwrite, int size, short replication, long block, Progressable on) {
      throw new UnsupportedOperationException("create " + path);
    }

    @Override
    public FSDataOutputStream append(Path path, int size, Progressable progress) {
      throw new UnsupportedOperationException("append to " + path);
    }

    @Override
    public boolean rename(Path source, Path target) {
      throw new UnsupportedOperationException("rename " + source);
    }

    @Override
    public boolean delete(Path path, boolean recursive) {
      throw new UnsupportedOperationException("delete " + path);
    }
  }
}
